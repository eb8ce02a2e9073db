#!/usr/bin/env node
/** The lab's Kubernetes API server. */
import { runApiServer } from '../lab/apiserver/program.ts';

await runApiServer(process.argv.slice(2));
