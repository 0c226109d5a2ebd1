curl -sSf "$WORDS_URL/list.txt"
cat shell.txt
#> two words, second, here
#> sh
