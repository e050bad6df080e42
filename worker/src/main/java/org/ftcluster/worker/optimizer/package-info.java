/** AdamW, learning-rate schedules and clipping. */
@NullMarked
package org.ftcluster.worker.optimizer;

import org.jspecify.annotations.NullMarked;
