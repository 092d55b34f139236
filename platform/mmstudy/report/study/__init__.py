"""One study as one HTML page that a reviewer can sign: sections as data, and one way to HTML."""
