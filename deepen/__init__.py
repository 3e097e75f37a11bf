"""Deepen: from data to a deep-learning model that you understand."""
