// Runs the Postman collection with newman and prints one `ok`/`FAIL` line for
// each of its tests. The environment (see ../README.md) names the server.
'use strict'

const path = require('node:path')
const newman = require('newman')

const { V1_URL, V1_USER, V1_TOKEN, V1_PROFILE } = process.env
const values = { url: V1_URL, user: V1_USER, token: V1_TOKEN, profile: V1_PROFILE }

// A run that ends without its last event must not pass.
process.exitCode = 1

const line = text => console.log(text.replaceAll('\n', ' '))

newman.run({
  collection: require('./collection.json'),
  environment: { values: Object.entries(values).map(([key, value]) => ({ key, value })) },
  // Folder `v1` holds for InfluxDB 1.x as well; `shim` is what only the shim does.
  folder: V1_PROFILE === 'influxd' ? ['v1'] : ['v1', 'shim'],
  workingDir: path.resolve(__dirname),
  timeoutRequest: 20000
}).on('assertion', (error, run) => {
  line(error ? `FAIL ${run.assertion}: ${run.item.name}: ${error.message}` : `ok ${run.assertion}`)
}).on('request', (error, run) => {
  if (error) line(`FAIL ${run.item.name}: ${error.message}`)
}).on('script', (error, run) => {
  if (error) line(`FAIL ${run.item.name}: script: ${error.message}`)
}).on('done', (error, summary) => {
  if (error) line(`FAIL newman: ${error.message}`)
  process.exitCode = error || summary.run.failures.length > 0 ? 1 : 0
})
