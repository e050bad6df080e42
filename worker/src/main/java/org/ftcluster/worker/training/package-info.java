/** The training loop of one rank. */
@NullMarked
package org.ftcluster.worker.training;

import org.jspecify.annotations.NullMarked;
