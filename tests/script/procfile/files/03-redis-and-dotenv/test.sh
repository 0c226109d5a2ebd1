curl -sSf "$WEB_URL/"
curl -sSf "$WEB_URL/"
[ "$REDIS_PORT" = 6390 ] && echo "$REDIS_URL"
#> visit 1
#> visit 2
#> redis://127.0.0.1:6390
