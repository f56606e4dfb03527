"""Approved questions and answers from elsewhere: readers that know no database, and `storing`."""
