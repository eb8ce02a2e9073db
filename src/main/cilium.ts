/** The command line under the name that people know. */
import { main } from '../cli/program.ts';

process.exitCode = await main({ name: 'cilium' }, process.argv.slice(2));
