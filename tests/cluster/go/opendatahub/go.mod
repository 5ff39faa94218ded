module carferry.tests/opendatahub

go 1.26

require github.com/opendatahub-io/opendatahub-operator/v2 v2.35.0
