"""The leaderboard site: a pure function of records."""
