"""TensorFlow graphs in words that a converter knows.

A SavedModel may hold any of TensorFlow's operators; tf2onnx and TFLiteConverter know some of them,
and some of those wrongly. `replay.replay` traces the graph anew, operator by operator: functions
are inlined, assertions are left out, and an operator with a rule is replaced by what the rule
computes with other operators. A rule is one small function in a table (`table.rule`), registered
for the formats that need it.
"""
