#!/bin/sh
# Makes an authority and a certificate for each host that is named, with openssl: docs/deploy.md.
#
#     deploy/certificates.sh FOLDER HOST...
#
# FOLDER gets ca.pem, which everybody needs; ca.key, which nobody else may have; and HOST.pem and HOST.key for each host.
# A host is a name or an IP address, without brackets. An authority that is there already is used again.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 FOLDER HOST..." >&2
    exit 2
fi
folder=$1
shift
umask 077
mkdir -p "$folder"

# What openssl says is shown only if it fails.
quietly() {
    if ! said=$("$@" 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

if [ ! -e "$folder/ca.pem" ]; then
    # With a configuration of its own, since what the system's adds differs between versions of openssl.
    printf '%s\n' '[req]' 'distinguished_name=name' 'x509_extensions=authority' '[name]' '[authority]' \
        'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' \
        > "$folder/ca.cnf"
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 \
        -config "$folder/ca.cnf" -subj "/CN=seedbed authority" -keyout "$folder/ca.key" -out "$folder/ca.pem"
    rm "$folder/ca.cnf"
fi
for host in "$@"; do
    case $host in
    '' | */* | *,*)
        echo "$0: '$host' is no host" >&2
        exit 2
        ;;
    *:*) name="IP:$host" ;;
    *[!0-9.]*) name="DNS:$host" ;;
    *) name="IP:$host" ;;
    esac
    # The name that counts is subjectAltName. A common name may have 64 characters at most, which a host's may exceed.
    quietly openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=seedbed server" \
        -keyout "$folder/$host.key" -out "$folder/$host.csr"
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n' "$name" > "$folder/$host.ext"
    quietly openssl x509 -req -in "$folder/$host.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days 397 \
        -extfile "$folder/$host.ext" -out "$folder/$host.pem"
    rm "$folder/$host.csr" "$folder/$host.ext"
done
