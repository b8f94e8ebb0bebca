"""What a run writes, and how it is read again: `layout` has the names of the files and what each holds."""
