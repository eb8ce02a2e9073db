/** The walls of the house: which room may import which (docs/architecture.md tells why). */
const rooms = {
  proto: [],
  model: ['proto'],
  linux: ['proto'],
  kube: ['model'],
  drivers: ['proto', 'model', 'linux'],
  engine: ['proto', 'linux'],
  cni: ['proto', 'model', 'linux'],
  prove: ['proto', 'model', 'linux', 'kube'],
  operator: ['kube', 'model', 'proto'],
  agent: ['proto', 'model', 'linux', 'drivers', 'kube', 'cni', 'prove'],
  lab: ['proto', 'model', 'linux', 'kube'],
  cli: ['proto', 'model', 'kube', 'linux', 'agent', 'operator', 'prove', 'lab'],
};

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'types may know each other, code may not',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `room-${room}`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
    })),
    {
      name: 'proto-is-pure',
      comment: 'proto has no I/O: of node it may use crypto and util alone',
      severity: 'error',
      from: { path: '^src/proto/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|util|buffer)$' },
    },
    {
      name: 'model-is-pure',
      severity: 'error',
      from: { path: '^src/model/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|util|buffer)$' },
    },
    {
      name: 'no-test-import',
      severity: 'error',
      from: { pathNot: '[.]test[.]ts$' },
      to: { path: '[.]test[.]ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'types'],
    },
    parser: 'swc',
  },
};
