"""The web page of the server: one HTML file and the requests it makes."""
