/** Frozen weights in 4 and 8 bits. */
@NullMarked
package org.ftcluster.worker.quantization;

import org.jspecify.annotations.NullMarked;
