/**
 * Language models with explicit forward and backward passes: no tape, and each layer's two methods
 * side by side.
 *
 * <p>Shapes, here and in the kernels: T tokens of all sequences of a batch, laid end to end; N of
 * them that carry a loss; D hidden size; H query heads; K key/value heads; G = H / K query heads
 * that share a key/value head; C head size; F feed-forward size; V vocabulary; R rank of the
 * adapter. Activations are matrices with a row a token.
 *
 * <p>Start reading at {@link org.ftcluster.worker.model.CausalLanguageModel}, then {@link
 * org.ftcluster.worker.model.DecoderLayer}.
 */
@NullMarked
package org.ftcluster.worker.model;

import org.jspecify.annotations.NullMarked;
