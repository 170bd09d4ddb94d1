"""Records in, tables and pages out; nothing here runs a model."""
