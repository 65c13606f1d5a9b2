// One run of llama.cpp (npm package node-llama-cpp, prebuilt, CPU) for compare_llama.py; started in the folder where
// that package is installed.   node compare_llama.mjs MODEL N_PROMPT N_GEN THREADS
// Prints {"prompt_tok_s", "gen_tok_s"}; the first round, of 1024 tokens of prompt at most, only warms up. Same tokens
// as `shoal bench`.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
const require = createRequire(process.cwd() + "/");
const {getLlama} = await import(pathToFileURL(require.resolve("node-llama-cpp")));

const [, , modelPath, ...counts] = process.argv;
const [nPrompt, nGen, threads] = counts.map(Number);
const llama = await getLlama({build: "never", gpu: false, logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath});
const nVocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const prompt = Array.from({length: nPrompt}, (_, i) => 3 + i * 7919 % (nVocab - 3));
let result;
for (const nRound of [Math.min(nPrompt, 1024), nPrompt]) {
  const context = await model.createContext({contextSize: nPrompt + nGen + 8, batchSize: 512, threads});
  const sequence = context.getSequence();
  const start = performance.now();
  if (nRound) await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, nRound));
  const middle = performance.now();
  for (let i = 0; i < nGen; i++) await sequence.evaluateWithoutGeneratingNewTokens([3 + i * 31 % (nVocab - 3)]);
  const end = performance.now();
  result = {prompt_tok_s: nRound / (middle - start) * 1e3, gen_tok_s: nGen / (end - middle) * 1e3};
  await context.dispose();
}
console.log(JSON.stringify(result));
process.exit(0);
