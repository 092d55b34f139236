"""Who is who: spellings of patient ids, where every patient ends, and what can be done."""
