module carferry.tests/pause

go 1.26
