"""A classifier in 8-bit integers: what phones, browsers and microcontrollers run, and what it takes of them."""
