/** The operator of the cluster. */
import packageJson from '../../package.json' with { type: 'json' };
import { runOperator } from '../operator/main.ts';

try {
  await runOperator(process.argv.slice(2), packageJson.version);
  process.exit(0);
} catch (error) {
  process.stderr.write(`cilium-operator: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
