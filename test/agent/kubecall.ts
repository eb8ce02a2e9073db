/** One request to the rig's API server, from inside the rig: `node kubecall.ts '{"method","path","body","type","pki"}'`. */
import { connect } from '../../src/kube/client.ts';
import { adminIdentity } from '../../src/lab/cluster/pki.ts';

const { method, path, body, type, pki } = JSON.parse(process.argv[2] ?? '{}');
const client = connect({ server: 'https://172.18.0.2:6443', ...(await adminIdentity(pki)) });
const answer = await client.raw(method, path, body, { 'content-type': type });
const text = answer.body.toString();
if (answer.status >= 400) {
  process.stderr.write(`${method} ${path}: ${answer.status} ${text}\n`);
  process.exit(1);
}
process.stdout.write(text.startsWith('{') ? text : JSON.stringify({ text }));
process.exit(0);
