"""The leaderboard site: a pure function of records."""

if __name__ != "mechboard.leaderboard":
    raise ImportError("This folder is the package `mechboard.leaderboard`; install mechboard and import that.")
