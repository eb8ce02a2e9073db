#!/usr/bin/env node
/** The node agent of a lab's node. */
import { runKubelet } from '../lab/node/program.ts';

await runKubelet(process.argv.slice(2));
