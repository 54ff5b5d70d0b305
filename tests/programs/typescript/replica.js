// Compiled from replica.ts by `tsc -p .`; committed so that only node is needed to run it.
"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
// A replicated key-value store with a fixed primary, the lowest ID. The primary answers a put once a majority has a copy.
// It is correct while no replica dies.
const dgram = require("dgram");
const EVERYBODY = 'FFFF';
const RETRY_MS = 50;
const BEAT_MS = [80, 160];
// A message to a replica that is not up yet is lost, so the first beat waits until all should be.
const START_GRACE_MS = 1000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
class Replica {
    port;
    id;
    socket = dgram.createSocket('udp4');
    store = new Map();
    pending = new Map();
    primary;
    majority;
    lastNumber = 0;
    constructor(port, id, others) {
        this.port = port;
        this.id = id;
        this.primary = [id, ...others].sort()[0];
        this.majority = Math.floor((others.length + 1) / 2) + 1;
    }
    async run() {
        this.socket.on('message', (data) => this.receive(JSON.parse(data.toString())));
        await new Promise((resolve) => this.socket.bind(0, '127.0.0.1', resolve));
        this.send(EVERYBODY, 'hello', {});
        await sleep(START_GRACE_MS);
        while (this.id === this.primary) {
            const [shortest, longest] = BEAT_MS;
            await sleep(shortest + Math.random() * (longest - shortest));
            this.send(EVERYBODY, 'beat', {});
        }
    }
    send(dst, type, fields) {
        const message = { src: this.id, dst, leader: this.primary, type, ...fields };
        this.socket.send(JSON.stringify(message), this.port, '127.0.0.1');
    }
    receive(message) {
        switch (message.type) {
            case 'get':
            case 'put':
                if (this.id !== this.primary)
                    this.send(message.src, 'redirect', { MID: message.MID });
                else if (message.type === 'put')
                    void this.replicate(message);
                else
                    this.send(message.src, 'ok', { MID: message.MID, value: this.store.get(message.key) ?? '' });
                break;
            case 'copy':
                this.store.set(message.key, message.value);
                this.send(message.src, 'copied', { number: message.number });
                break;
            case 'copied': {
                const waiting = this.pending.get(message.number);
                if (waiting !== undefined && waiting.holders.add(message.src).size >= this.majority)
                    waiting.enough();
            }
        }
    }
    async replicate(put) {
        const number = ++this.lastNumber;
        let done = false;
        const enough = new Promise((resolve) => {
            this.pending.set(number, { put, enough: resolve, holders: new Set([this.id]) });
        }).then(() => { done = true; });
        while (!done) {
            this.send(EVERYBODY, 'copy', { number, key: put.key, value: put.value });
            await Promise.race([enough, sleep(RETRY_MS)]);
        }
        this.pending.delete(number);
        this.store.set(put.key, put.value);
        this.send(put.src, 'ok', { MID: put.MID });
    }
}
const [port, id, ...others] = process.argv.slice(2);
void new Replica(Number(port), id, others).run();
