"""Fetching assets: what the hub has of one, its files over HTTP, and the folder and lock that come of it.

A task's source does not rest on this folder, so that a change here makes no answer stale.
"""
