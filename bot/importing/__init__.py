"""Approved questions and answers from elsewhere: readers, and what becomes of what they find."""
