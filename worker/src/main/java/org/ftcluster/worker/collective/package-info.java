/** Operations over the ranks of one generation. */
@NullMarked
package org.ftcluster.worker.collective;

import org.jspecify.annotations.NullMarked;
