"""The door for notebooks: `mechboard.run`, `load` and `read`, and how what they return shows itself.

- `run`        methods and tasks, by name or as objects, to results
- `results`    a sequence of records: selecting, tables for pandas
- `frames`     records as tidy data frames
- `views`      results, records and instances as HTML and as text
- `load`       one instance to play with
- `chosen`     what was given, names and objects mixed, as methods and tasks
- `progress`   one line that is redrawn while cells run
"""
