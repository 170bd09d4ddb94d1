"""The sections of a report, one a file: each makes its figures and tables of the records."""
