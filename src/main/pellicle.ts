/** The command line with the lab; also as a plugin of kubectl, which sets the name. */
import { main } from '../cli/program.ts';
import { leave } from '../cli/terminal.ts';

const name = process.env['PELLICLE_CALLED_AS'] ?? 'pellicle';
leave(await main({ name, lab: true }, process.argv.slice(2)));
