"""A finished trial again: rerun, confirmed, evaluated, explained, used on other patients."""
