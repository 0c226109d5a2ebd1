curl -sSf "$WEB_URL/Procfile" | head -1 | tr -d '\r'
[ -s tick ] && echo ticking
#> # The processes of the shop
#> ticking
