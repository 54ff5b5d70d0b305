#!/bin/sh
# Makes an authority and a certificate for each host that is named, with openssl: docs/deploy.md.
#
#     deploy/certificates.sh FOLDER HOST...
#
# FOLDER gets ca.pem, which everybody needs; ca.key, which nobody else may have; and HOST.pem and HOST.key for each host.
# A host is a name or an IPv4 address. An authority that is there already is used again.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 FOLDER HOST..." >&2
    exit 2
fi
folder=$1
shift
umask 077
mkdir -p "$folder"

if [ ! -e "$folder/ca.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=seedbed authority" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
fi
for host in "$@"; do
    case $host in
    *[!0-9.]*) name="DNS:$host" ;;
    *) name="IP:$host" ;;
    esac
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" \
        -keyout "$folder/$host.key" -out "$folder/$host.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n' "$name" > "$folder/$host.ext"
    openssl x509 -req -in "$folder/$host.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days 397 \
        -extfile "$folder/$host.ext" -out "$folder/$host.pem" 2>/dev/null
    rm "$folder/$host.csr" "$folder/$host.ext"
done
