import { runDbg } from '../agent/dbg/commands.ts';

process.exitCode = await runDbg(process.argv.slice(2), {
  print: text => process.stdout.write(text),
  printError: text => process.stderr.write(text),
});
