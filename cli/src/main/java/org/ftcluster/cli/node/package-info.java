/** Commands that are a coordinator or a worker. */
@NullMarked
package org.ftcluster.cli.node;

import org.jspecify.annotations.NullMarked;
