/** From JSONL lines to micro-batches: templates, tokens, packing, and the order of samples. */
@NullMarked
package org.ftcluster.worker.data;

import org.jspecify.annotations.NullMarked;
