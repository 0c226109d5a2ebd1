{ curl -sSf http://127.0.0.1:8109/; curl -sSf http://127.0.0.1:8109/; } | sort
grep -c "GET / " app.0.log >/dev/null && echo logged
#> app 0
#> app 1
#> logged
