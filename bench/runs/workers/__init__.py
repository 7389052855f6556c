"""Where methods run: each in a process of its own, so that none can spoil another one's number or the run.

- `cell`      what is done for one cell: solve and score, and what is checked around it;
- `sandbox`   a fork with limits on time, memory and output, and nothing left behind;
- `page`      where a fork says how far it has come;
- `workshop`  a process that holds one problem, forks for each method, and a second one that scores;
- `pool`      the driver's side: cells over workshops, several at a time;
- `inline`    the same cells in this process, for debuggers and notebooks.
"""
