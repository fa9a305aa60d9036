"""What tests order in advance: replies, faults and literal streams, and the matching of requests to them."""
