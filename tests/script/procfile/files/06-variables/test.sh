curl -sSf "$WEB_URL/"
#> hello   world|web.1|by default|a $literal|
