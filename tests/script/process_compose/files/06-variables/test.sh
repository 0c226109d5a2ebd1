curl -sSf http://127.0.0.1:8106/
cat shown.txt
#> a site
#> test process dotenv r42 left to the shell
