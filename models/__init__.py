"""The models that are exported, and the words every room shares."""
