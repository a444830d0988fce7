/**
 * Outputs of real models: names, shapes and last nodes as exporters write them (transformers with Optimum, sklearn-onnx, tf2onnx and Keras,
 * torchvision, ultralytics, the ONNX model zoo), what is beside the file, values of their kind, and what their users mean by a right answer.
 */

import type { HubConfig } from '../../src/base/output-kind'
import { seeded } from '../../src/base/random'

/** What users mean. `near`: all values together, as embeddings are compared. `value`: how far off a value may be, which only they know. */
export type Meant = 'label' | 'labels' | 'top' | 'near' | 'value' | 'equal' | { axis: number }

export interface RealOutput {
  readonly model: string
  readonly output: string
  readonly shape: readonly number[]
  readonly meant: Meant
  readonly values: keyof typeof kinds
  /** Of the graph; absent where the model is on a server, which tells names and shapes alone. */
  readonly op?: string
  readonly axis?: number
  readonly config?: HubConfig
  readonly type?: 'int64'
  /** Other outputs of the model. */
  readonly beside?: Readonly<Record<string, readonly number[]>>
  /** Of an output with one label and nothing else. */
  readonly isPlain?: boolean
}

const random = seeded(5)
const softmax = (values: Float32Array) => {
  const all = values.map(Math.exp)
  const sum = all.reduce((a, b) => a + b)
  return all.map((value) => value / sum)
}
const gauss = (n: number, scale = 1, mean = 0) => Float32Array.from({ length: n }, () => mean + scale * random.gauss())
const uniform = (n: number) => Float32Array.from({ length: n }, () => random.next())
const sigmoid = (values: Float32Array) => values.map((value) => 1 / (1 + Math.exp(-value)))

/** Values of an answer, by their kind. */
export const kinds = {
  logits: (n: number) => {
    const values = gauss(n, 2)
    values[Math.floor(n * random.next())] += 5
    return values
  },
  probabilities: (n: number) => softmax(gauss(n, 3)),
  'log probabilities': (n: number) => softmax(gauss(n, 3)).map(Math.log),
  /** Most of them have no tag. */
  'tag logits': (n: number) => gauss(n, 1.5, random.next() < 0.3 ? -1 : -5),
  'tag probabilities': (n: number) => sigmoid(gauss(n, 2, -3)),
  /** One against the rest, which may all refuse. */
  decisions: (n: number) => gauss(n, 1).map((value, i) => value + (i ? -1 : 1)),
  distances: (n: number) => gauss(n).map((value) => 1 + Math.abs(value) * 4),
  ratings: (n: number) => gauss(n, 0.7, 3.5).map((value) => Math.min(5, Math.max(1, value))),
  unit: (n: number) => {
    const values = gauss(n)
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
    return values.map((value) => value / length)
  },
  vectors: (n: number) => gauss(n),
  'vectors cut off at 0': (n: number) => gauss(n).map((value) => Math.max(0, value)),
  shares: (n: number) => uniform(n),
  numbers: (n: number) => gauss(n, 20, 10),
  costs: (n: number) => gauss(n, 2).map(Math.exp),
} as const

const hub = (labels: number, problemType?: string): HubConfig => ({ labels, ...(problemType && { problemType }), vocabulary: 30522 }) // biome-ignore format: one line

/** A classifier, by its last node. */
const plain = (
  model: string,
  output: string,
  classes: number | readonly number[],
  values: keyof typeof kinds,
  more: Partial<RealOutput> = {},
): RealOutput => ({
  ...{ model, output, shape: typeof classes === 'number' ? [classes] : classes, meant: 'label', values, isPlain: true },
  ...more,
})
const real = (
  model: string,
  output: string,
  shape: readonly number[],
  meant: Meant,
  values: keyof typeof kinds,
  more: Partial<RealOutput> = {},
): RealOutput => ({ model, output, shape, meant, values, ...more })

const gemm = { op: 'Gemm' }
const add = { op: 'Add' } // a MatMul and its bias

export const realOutputs: readonly RealOutput[] = [
  // 40 plain classifiers: transformers
  plain('ViT base', 'logits', 1000, 'logits', { ...gemm, config: { labels: 1000 } }),
  plain('ResNet-50 of transformers', 'logits', 1000, 'logits', { ...gemm, config: { labels: 1000 } }),
  plain('ViT, ages of faces', 'logits', 9, 'logits', { ...gemm, config: { labels: 9 } }),
  plain('DistilBERT SST-2', 'logits', 2, 'logits', { ...gemm, config: hub(2, 'single_label_classification') }),
  plain('DistilBERT SST-2', 'logits', 2, 'logits'), // on a server
  plain('RoBERTa, sentiment of tweets', 'logits', 3, 'logits', { ...gemm, config: hub(3) }),
  plain('BART MNLI', 'logits', 3, 'logits', { ...gemm, config: hub(3) }),
  plain('wav2vec2, keywords', 'logits', 12, 'logits', { ...gemm, config: { labels: 12 } }),
  plain('XLM-R, languages', 'logits', 20, 'logits', gemm), // its bytes alone
  plain('Whisper, languages', 'logits', 99, 'logits'),
  // scikit-learn and its kin
  plain('sklearn random forest', 'probabilities', 3, 'probabilities', { op: 'TreeEnsembleClassifier' }),
  plain('sklearn random forest', 'probabilities', 3, 'probabilities'),
  plain('sklearn logistic regression', 'probabilities', 3, 'probabilities', { op: 'LinearClassifier' }),
  plain('sklearn SVC', 'probabilities', 4, 'probabilities', { op: 'SVMClassifier' }),
  plain('sklearn LinearSVC', 'probabilities', 3, 'decisions', { op: 'LinearClassifier' }),
  plain('sklearn MLP', 'probabilities', 10, 'probabilities', { op: 'Softmax' }),
  plain('sklearn naive Bayes', 'probabilities', 5, 'probabilities', { op: 'Exp' }),
  plain('sklearn k neighbours', 'probabilities', 3, 'probabilities', { op: 'Div' }),
  plain('XGBoost classifier', 'probabilities', 3, 'probabilities', { op: 'TreeEnsembleClassifier' }),
  plain('LightGBM classifier', 'probabilities', 5, 'probabilities', { op: 'TreeEnsembleClassifier' }),
  plain('CatBoost classifier', 'probabilities', 4, 'probabilities', { op: 'TreeEnsembleClassifier' }),
  // Keras
  plain('Keras MobileNetV2', 'predictions', 1000, 'probabilities', { op: 'Softmax' }),
  plain('Keras flowers', 'dense_1', 5, 'probabilities', { op: 'Softmax' }),
  plain('Keras digits', 'output_0', 10, 'probabilities', { op: 'Softmax' }),
  plain('Teachable Machine', 'sequential_3', 3, 'probabilities', { op: 'Softmax' }),
  plain('Keras text topics', 'activation_5', 46, 'probabilities', { op: 'Softmax' }),
  // torchvision, timm, ultralytics, and what people train
  plain('torchvision ResNet-18', 'output', 1000, 'logits', gemm),
  plain('torchvision EfficientNet', '1458', 1000, 'logits', gemm),
  plain('timm ConvNeXt', 'output0', 1000, 'logits', gemm),
  plain('CIFAR classifier of a tutorial', 'output', 10, 'logits', gemm),
  plain('CIFAR classifier of a tutorial', 'output', 10, 'log probabilities', { op: 'LogSoftmax' }),
  plain('YOLOv8 cls', 'output0', 1000, 'probabilities', { op: 'Softmax' }),
  plain('plant diseases of fastai', 'logits', 38, 'logits', gemm),
  plain('intent classifier', 'class_scores', 64, 'logits', add),
  // The ONNX model zoo
  plain('zoo MNIST', 'Plus214_Output_0', 10, 'logits', add),
  plain('zoo ResNet-50 v1', 'resnetv17_dense0_fwd', 1000, 'logits', gemm),
  plain('zoo SqueezeNet', 'softmaxout_1', [1000, 1, 1], 'probabilities', { op: 'Softmax', axis: 0 }),
  plain('zoo GoogLeNet', 'prob_1', 1000, 'probabilities', { op: 'Softmax' }),
  plain('zoo Emotion FERPlus', 'Plus692_Output_0', 8, 'logits', add),
  plain('zoo age_googlenet', 'loss3/loss3_Y', 8, 'probabilities', { op: 'Softmax' }),
  // Tags
  real('toxic-bert', 'logits', [6], 'labels', 'tag logits', { ...gemm, config: hub(6, 'multi_label_classification') }),
  real('toxic-bert', 'logits', [6], 'labels', 'tag logits', { ...gemm, config: hub(6) }),
  real('toxic-bert', 'logits', [6], 'labels', 'tag logits'),
  real('RoBERTa, go_emotions', 'logits', [28], 'labels', 'tag logits', { ...gemm, config: hub(28, 'multi_label_classification') }), // biome-ignore format: one line
  real('YAMNet', 'output_0', [521], 'labels', 'tag probabilities', { op: 'Sigmoid', beside: { output_1: [1024] } }),
  real('YAMNet', 'scores', [521], 'labels', 'tag probabilities'),
  real('YAMNet', 'scores', [96, 521], 'labels', 'tag probabilities', { op: 'Sigmoid' }),
  real('WD tagger', 'output', [10861], 'labels', 'tag probabilities', { op: 'Sigmoid' }),
  real('PANNs', 'clipwise_output', [527], 'labels', 'tag probabilities', { op: 'Sigmoid' }),
  real('CheXNet', 'output', [14], 'labels', 'tag probabilities', { op: 'Sigmoid' }),
  real('AST, AudioSet', 'logits', [527], 'labels', 'tag logits', { ...gemm, config: { labels: 527 } }),
  real('sklearn multi-label', 'probabilities', [7], 'labels', 'tag probabilities', { op: 'Concat' }),
  real('Detoxify', 'output', [7], 'labels', 'tag logits', gemm),
  // Regressions and single numbers
  real('STS-B cross-encoder', 'logits', [1], 'value', 'numbers', { ...gemm, config: hub(1) }),
  real('reward model', 'logits', [1], 'value', 'numbers', gemm),
  real('reward model of five qualities', 'logits', [5], 'value', 'shares', { ...gemm, config: hub(5, 'regression') }),
  real('arousal, dominance, valence of speech', 'logits', [3], 'value', 'shares', add),
  real('sklearn random forest regressor', 'variable', [1], 'value', 'costs', { op: 'TreeEnsembleRegressor' }),
  real('sklearn random forest regressor', 'variable', [3], 'value', 'numbers', { op: 'TreeEnsembleRegressor' }),
  real('sklearn linear regression', 'variable', [1], 'value', 'costs'),
  real('sklearn pipeline of several targets', 'variable', [4], 'value', 'numbers', add),
  real('XGBoost regressor', 'variable', [1], 'value', 'costs', { op: 'TreeEnsembleRegressor' }),
  real('Keras house prices', 'dense_2', [1], 'value', 'costs', add),
  real('Keras house prices', 'dense_2', [1], 'value', 'costs'),
  real('click-through rate', 'output', [1], 'value', 'shares', { op: 'Sigmoid' }),
  real('a forecast of 24 hours', 'output', [24], 'value', 'numbers', gemm),
  real('DDPG actor', 'action', [6], 'value', 'shares', { op: 'Tanh' }),
  real('ball flight, position and speed', 'predictions', [6], 'value', 'numbers', gemm),
  // Rankings and distances
  real('NCF recommender', 'scores', [1682], 'top', 'logits', gemm),
  real('SASRec', 'logits', [3416], 'top', 'logits', { op: 'MatMul' }),
  real('two towers', 'item_scores', [200], 'top', 'logits', { op: 'MatMul' }),
  real('matrix factorisation', 'scores', [100], 'top', 'ratings', { op: 'MatMul' }),
  real('learning to rank, ten candidates', 'scores', [10], 'top', 'logits', { op: 'MatMul' }),
  real('sklearn KMeans', 'scores', [8], 'value', 'distances', { op: 'Sqrt' }),
  real('sklearn KMeans', 'scores', [8], 'value', 'distances'),
  real('sklearn KMeans', 'label', [], 'equal', 'numbers', { type: 'int64' }),
  // Classes along another axis, or at several positions
  real('SegFormer', 'logits', [150, 128, 128], { axis: 0 }, 'logits', { op: 'Conv', config: { labels: 150 } }),
  real('SegFormer', 'logits', [150, 128, 128], { axis: 0 }, 'logits'),
  real('DeepLabV3', 'out', [21, 520, 520], { axis: 0 }, 'logits', { op: 'Resize' }),
  real('wav2vec2 CTC', 'logits', [49, 32], { axis: 1 }, 'logits', { ...add, config: { labels: 2, vocabulary: 32 } }),
  real('wav2vec2 CTC', 'logits', [49, 32], { axis: 1 }, 'logits'),
  real('CRNN', 'output', [26, 37], { axis: 1 }, 'log probabilities', { op: 'LogSoftmax', axis: 1 }),
  real('BERT NER', 'logits', [128, 9], { axis: 1 }, 'logits', { ...add, config: hub(9) }),
  // Embeddings and maps
  real('ArcFace', 'fc1', [512], 'near', 'vectors', { op: 'BatchNormalization' }),
  real('ArcFace', 'fc1', [512], 'near', 'vectors'),
  real('all-MiniLM', 'sentence_embedding', [384], 'near', 'unit', { op: 'L2Norm' }),
  real('CLIP, image', 'image_embeds', [512], 'near', 'unit', { op: 'Div' }),
  real('BERT', 'last_hidden_state', [128, 768], 'near', 'vectors', { op: 'LayerNormalization' }),
  real('BERT', 'pooler_output', [768], 'near', 'vectors', { op: 'Tanh' }),
  real('headless ResNet', 'output', [2048], 'near', 'vectors cut off at 0', { op: 'GlobalAveragePool' }),
  // Detectors, depths, faces
  real('SSD', 'scores', [200], 'value', 'shares', { op: 'Sigmoid', beside: { boxes: [200, 4] } }),
  real('DETR', 'pred_boxes', [100, 4], 'value', 'shares', { op: 'Sigmoid', config: { labels: 91 }, beside: { logits: [100, 92] } }), // biome-ignore format: one line
  real('MiDaS', 'depth', [256, 256], 'value', 'numbers', { op: 'Relu' }),
  real('face landmarks', 'output', [136], 'value', 'shares', gemm),
]
