/** The command line of lab-kubelet. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { Kubelet, type KubeletOptions } from './kubelet.ts';

const usage =
  'lab-kubelet --node NAME --kubeconfig FILE --pki FOLDER --images FOLDER --node-ip IP[,IP6] [--root FOLDER] [--alone]';

export async function runKubelet(argv: string[]): Promise<void> {
  let options: KubeletOptions;
  try {
    options = readArguments(argv);
  } catch (error) {
    console.error(`lab-kubelet: ${(error as Error).message}\nusage: ${usage}`);
    process.exit(2);
  }
  await new Kubelet(options).run();
}

export function readArguments(argv: string[]): KubeletOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      node: { type: 'string' },
      kubeconfig: { type: 'string' },
      pki: { type: 'string' },
      images: { type: 'string' },
      root: { type: 'string', default: '/var/lib/kubelet' },
      run: { type: 'string', default: '/run/pellicle-lab' },
      'node-ip': { type: 'string' },
      alone: { type: 'boolean', default: false },
    },
  });
  const need = (name: 'node' | 'kubeconfig' | 'pki' | 'images' | 'node-ip') => {
    const value = values[name];
    if (!value) throw new Error(`--${name} is missing`);
    return value;
  };
  const nodeIps = need('node-ip').split(',');
  const wrong = nodeIps.find(ip => isIP(ip) === 0);
  if (wrong !== undefined) throw new Error(`--node-ip ${wrong} is no address`);
  return {
    node: need('node'),
    kubeconfig: need('kubeconfig'),
    pki: need('pki'),
    images: need('images'),
    root: values.root,
    run: values.run,
    nodeIps,
    alone: values.alone,
  };
}
