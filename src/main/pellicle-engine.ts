#!/usr/bin/env node
/** Userspace WireGuard. */
import { runEngine } from '../engine/program.ts';

await runEngine(process.argv.slice(2), process.env);
