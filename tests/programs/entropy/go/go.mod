module audit

go 1.19
