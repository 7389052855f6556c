"""Is HEAD worse than BASE? Verdicts on two sets of records, and the gate that makes both sets.

wanted (which measures, how far) + noise -> compare -> verdicts (table, Markdown, JSON, JUnit);  trees -> gate
"""
