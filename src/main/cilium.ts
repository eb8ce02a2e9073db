/** The command line under the name that people know. */
import { main } from '../cli/program.ts';
import { leave } from '../cli/terminal.ts';

leave(await main({ name: 'cilium' }, process.argv.slice(2)));
