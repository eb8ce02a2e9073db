#!/usr/bin/env node
/** Userspace WireGuard. */
import { setFlagsFromString } from 'node:v8';
import { runEngine } from '../engine/program.ts';

// Handshakes and requests leave nothing but garbage behind: a young generation that grows with it would be most of what
// thousands of idle peers cost.
setFlagsFromString('--semi-space-growth-factor=1');

await runEngine(process.argv.slice(2), process.env);
